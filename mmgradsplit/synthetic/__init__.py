"""Data that is drawn: pedestrians, indoor rooms, digits on photographs."""
