// Hands the player a kit of sounds, and says that it came: it is not sent again.
export default function ({ data, setTriggerValue }) {
  if (data) setTriggerValue("loaded", player.load(data));
}
