"""How fast it is and what it costs: each figure beside a baseline that is measured in the same run, and beside its target.

Invariant: speed is shown, never tested. A run fails where something breaks, not where a figure is missed.
"""
