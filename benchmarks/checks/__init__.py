"""The checks of the robustness part: each takes a server through one trouble and returns cells of the table."""
