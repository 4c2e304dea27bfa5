"""Each bound of the reference broker is attacked over sockets, while a bystander goes on being served."""
