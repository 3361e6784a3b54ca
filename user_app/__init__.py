"""The user service: accounts, tokens, purchase history."""
