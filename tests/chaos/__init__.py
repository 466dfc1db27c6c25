"""A campaign of faults: thousands of events, everything fails now and then, and in the end the accounts must be right.

Invariant: what was published is written down before it is published, and what was delivered only after it was.
"""
