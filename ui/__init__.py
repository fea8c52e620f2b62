"""The web page, in Streamlit. It speaks HTTP to the API and imports nothing of the other packages."""
