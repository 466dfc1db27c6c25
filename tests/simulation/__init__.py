"""The product's own code in virtual time: every process, thread and fault of a run follows from one seed."""
