"""Defender Submissions: reported mail, URLs and files go to Microsoft, their verdicts come back into a table."""
