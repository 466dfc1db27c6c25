"""The campaign against the exactly-once start of VOD tasks: processes that die at every step, while VOD misbehaves.

Invariant: every case runs the package's own operator and trigger against the emulator, in processes that die as hard as a process
can; what is asserted is what VOD counts, not what the package says.
"""
