"""The rooms of the page: what is drawn and played, what a visitor holds, and a module a tab."""
