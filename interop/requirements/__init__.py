"""What the three specifications demand, statement by statement, in our own words."""
