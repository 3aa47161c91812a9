"""Stands where LibreTranslate looks for its engine: takes as long as it is told, and counts. Translates nothing."""
