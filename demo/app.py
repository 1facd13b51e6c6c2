"""The page: make a drum loop, steer, morph and edit it, listen, and take it away.

Run: rhythmgan demo, or in a clone: streamlit run demo/app.py
"""

from streamlit.starlette import App

from page import frame, guard

if __name__ == "__main__":  # what Streamlit runs for a visitor
    frame.show()
else:  # what the server imports
    app = App(__file__, lifespan=guard.opened, middleware=guard.middleware())
