"""A folder of guides becomes a library: read, clean, chunk, embed, keep."""
