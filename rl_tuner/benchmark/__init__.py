"""Measuring ways of steering: on which targets, at which cost, and how real the bars are that reach them."""
