"""The four programs. They meet on topics, never by import."""
