"""Photographs as sources of pairs: CK+, Oulu-CASIA, London, LSEMSW, a folder of one's own."""
