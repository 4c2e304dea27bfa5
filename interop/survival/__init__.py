"""A broker's process is killed again and again, and what it promised is compared with what came."""
