"""One file for each contract; every route is short, and the work is done in the modules beside this folder."""
