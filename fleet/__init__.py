"""What an operator of many nodes has; docs/fleet.md describes it. Python is in `fleet.repository` only."""
