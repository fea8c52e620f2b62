"""Renders values as HTML and Markdown, without Streamlit: highlights, tables, answer groups, and exports."""
