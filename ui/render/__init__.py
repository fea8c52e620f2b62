"""From values to HTML and Markdown, without drawing: highlights, tables, groups of answers, and exports."""
