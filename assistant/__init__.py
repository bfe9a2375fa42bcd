"""Ask a library of guides: `from assistant import Assistant`."""
