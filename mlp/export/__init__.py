"""Networks for other programs and people. Read page.py: a network as one HTML page."""
