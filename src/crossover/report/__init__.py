"""What people read: HTML, Markdown, the terminal and the table, in English and Chinese."""
