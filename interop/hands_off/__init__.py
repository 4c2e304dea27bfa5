"""A closed device, tested from the wire: a person does what a page says, tap and reference broker do the rest."""
