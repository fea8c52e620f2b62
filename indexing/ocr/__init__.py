"""Optical character recognition of a picture: script, engine, words with their places and confidences; the pages already
read. Engines are optional: RapidOCR (`docqa[ocr]`), and tesseract where it is installed."""
