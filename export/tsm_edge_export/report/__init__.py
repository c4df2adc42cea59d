"""`tsm-edge report`: one HTML page from a profile. It holds all it shows: no script, no font from elsewhere."""
