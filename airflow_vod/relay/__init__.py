"""From a VOD queue into the inbox: the steps, the pipeline that runs them, and reconciling with what VOD itself says."""
