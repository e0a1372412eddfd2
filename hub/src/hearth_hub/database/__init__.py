"""PostgreSQL: the server of our own where none is given, its checks, its connections and its migrations."""
