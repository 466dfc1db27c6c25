"""Message queues for `MessageQueueTrigger` of the common messaging provider."""
