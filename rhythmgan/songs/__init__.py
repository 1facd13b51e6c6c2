"""From files of songs to a corpus: finding them, naming their songs, reading them in several processes."""
