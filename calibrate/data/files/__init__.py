"""Files below a root, wherever they lie: a directory, an archive, a URL. Trusted in nothing."""
