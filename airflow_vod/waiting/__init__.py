"""The bridge between asyncio and the inbox: everything that waits in a process shares one watch per queue."""
