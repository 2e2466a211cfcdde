"""Values that all packages of the service share: identities, pages, problems."""
