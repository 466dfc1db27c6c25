"""What `MessageQueueTrigger` of the common messaging provider finds by its scheme."""
