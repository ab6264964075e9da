"""What a module is: seen on copies without storage, which are run in its place."""
