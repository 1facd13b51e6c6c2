"""The commands of ``rhythmgan``, a module each: its options, and what it does with them."""
