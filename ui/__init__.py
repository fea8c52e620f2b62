"""The web page, in Streamlit. It uses the HTTP API and imports nothing from the other packages."""
