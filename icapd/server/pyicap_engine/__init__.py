"""The pyicap engine: pyicap's server and handlers around the codec, a thread for each connection."""
