// The player of the page, which the transport brings: whoever comes before it waits.
const player = await new Promise((found) => {
  const look = () => (window.rhythmganPlayer ? found(window.rhythmganPlayer) : setTimeout(look, 5));
  look();
});
