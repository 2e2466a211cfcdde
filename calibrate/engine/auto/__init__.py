"""The automatic search: candidates, budget and leaderboard."""
