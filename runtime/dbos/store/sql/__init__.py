"""The named statements of the store, one file for each module beside this folder."""
