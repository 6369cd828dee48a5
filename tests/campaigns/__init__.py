"""Labelled mails: which of them are copies of one campaign, written without looking at how copies are recognised."""
