"""What SQLite and PostgreSQL share: statements, repositories, rows, and the transaction around them."""
