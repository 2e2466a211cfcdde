"""What several tuning steps share."""
