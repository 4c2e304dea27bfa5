"""Certificates: a profile played with one implementation, and a signed statement of what came out."""
