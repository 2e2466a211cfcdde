"""Small values that every room shares: identities, pages, problems."""
